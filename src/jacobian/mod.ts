// The door of the Jacobian room: softmax's Jacobian, taken apart.
export { type JacobianAnalysis, jacobianAnalysis } from "./analysis.ts";
export {
  analysisCharts,
  type ComparedTraining,
  comparisonChart,
  comparisonTable,
  diagonalNote,
  jacobianTable,
} from "./report.ts";
export { type JacobianRow, jacobianRow, largestEigenvalue } from "./rows.ts";
export {
  checkComparable,
  checkStudied,
  compareBackwards,
  comparisonRecords,
  jacobianOfCheckpoints,
  type JacobianStudyOptions,
  jacobianWhileTraining,
  keptCheckpoints,
  type StepCheckpoint,
} from "./study.ts";
export type { DifferentiatedModel } from "./surrogates.ts";
