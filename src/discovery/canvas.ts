import sharp from 'sharp'
import { letterWidth, textPixels } from './glyphs.js'

export type Colour = readonly [number, number, number]

/** Pixels in memory, drawn on and saved as PNG. Whatever lies outside is not drawn. */
export class Canvas {
  readonly width: number
  readonly height: number
  readonly #pixels: Uint8Array

  constructor(width: number, height: number, background: Colour) {
    this.width = width
    this.height = height
    this.#pixels = new Uint8Array(width * height * 3)
    for (let i = 0; i < width * height; i++) this.#pixels.set(background, 3 * i)
  }

  set(x: number, y: number, colour: Colour): void {
    if (x >= 0 && y >= 0 && x < this.width && y < this.height) this.#pixels.set(colour, 3 * (y * this.width + x))
  }

  /** A grey picture, its rows from the top; values 0 to 1 are black to white. */
  grey(left: number, top: number, picture: Picture): void {
    for (let y = 0; y < picture.height; y++)
      for (let x = 0; x < picture.width; x++) {
        const level = Math.round(255 * Math.min(1, Math.max(0, picture.values[y * picture.width + x]!)))
        this.set(left + x, top + y, [level, level, level])
      }
  }

  /** The outline of a rectangle, growing inwards. */
  outline(left: number, top: number, width: number, height: number, colour: Colour, thickness = 1): void {
    for (let t = 0; t < thickness; t++) {
      for (let x = left + t; x < left + width - t; x++) {
        this.set(x, top + t, colour)
        this.set(x, top + height - 1 - t, colour)
      }
      for (let y = top + t; y < top + height - t; y++) {
        this.set(left + t, y, colour)
        this.set(left + width - 1 - t, y, colour)
      }
    }
  }

  /** One line of text, cut to `width` pixels. Letters are 5 x 7 pixels. */
  text(left: number, top: number, text: string, colour: Colour, width = this.width - left): void {
    const most = Math.max(1, Math.floor(width / letterWidth))
    const shown = text.length > most ? `${text.slice(0, most - 2)}..` : text
    textPixels(shown, (x, y) => this.set(left + x, top + y, colour))
  }

  async png(): Promise<Uint8Array> {
    const raw = { width: this.width, height: this.height, channels: 3 as const }
    return sharp(this.#pixels, { raw }).png({ palette: false, compressionLevel: 9 }).toBuffer()
  }
}

/** A grey picture, row by row from the top. */
export interface Picture {
  readonly width: number
  readonly height: number
  readonly values: Float32Array
}
