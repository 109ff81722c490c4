/**
 * What an expression may cost. Text and shape are refused when they are written (and again when they are decoded); steps end an evaluation, which then
 * counts as failed.
 */
export const expressionLimits = Object.freeze({
  /** Characters of the text. */
  textMax: 2_048,
  /** Nodes after macros (`exists`, `map` …) were written out. */
  nodesMax: 512,
  /** Nodes within each other. */
  depthMax: 48,
  /** Macros within each other: each is a loop. */
  loopsMax: 2,
  /** Patterns of `matches`. */
  patternsMax: 4,
  /** Nodes evaluated in loops, and list entries and 64-character pieces of text made or looked through, in one evaluation. */
  stepsMax: 10_000,
  /** Characters of a text that an evaluation makes. */
  madeTextMax: 16_384,
});
