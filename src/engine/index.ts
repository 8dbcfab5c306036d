export { type Device, Engine, type EngineOptions, openEngine, type Precision, Program, Tensor } from './engine.js'
export type { EngineAbout, Plan, PlannedOperation, TensorId, TileRequest, TileTuner } from './engine-addon.js'
export {
  readTileFile,
  readTiles,
  type TileChoice,
  type TileFile,
  type TileTable,
  type Tuning,
  writeTileFile,
} from './tiles.js'
