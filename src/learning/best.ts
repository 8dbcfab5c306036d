/** The best validation loss of a stage so far, and how long ago it was: plain JSON, part of every checkpoint. */
export interface Best {
  /** Null before the first validation. */
  readonly loss: number | null
  /** The epoch it came after, from 1 within the stage; 0 before the first. */
  readonly epoch: number
  /** Epochs since without a better one. */
  readonly waited: number
}

export const noBest: Best = { loss: null, epoch: 0, waited: 0 }

/** What is known after the validation of `epoch`; `improved` says that the weights are to be kept. */
export function track(best: Best, loss: number, epoch: number): Best & { readonly improved: boolean } {
  if (best.loss === null || loss < best.loss) return { loss, epoch, waited: 0, improved: true }
  return { ...best, waited: best.waited + 1, improved: false }
}

/** Early stopping: `patience` epochs in a row have not been better. */
export const exhausted = (best: Best, patience: number): boolean => best.waited >= patience
