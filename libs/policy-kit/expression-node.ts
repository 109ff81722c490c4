/**
 * An expression after its check, as it travels: JSON arrays that begin with what they are. `expression.ts` writes them, `expression-run.ts` makes closures
 * of them; a sidecar parses no expressions.
 */
export type ExpressionNode =
  /** A constant: text, truth, null, number. */
  | readonly ['constant', string | boolean | null | number]
  /** A variable of the catalogue. */
  | readonly ['variable', string]
  /** All values of a header (lower case) or query parameter; whether there is one. */
  | readonly ['header' | 'query' | 'hasHeader' | 'hasQuery', string]
  /** A variable of a macro, by its place. */
  | readonly ['local', number]
  | readonly ['select' | 'has', ExpressionNode, string]
  | readonly ['call', string, ...ExpressionNode[]]
  | readonly ['matches', ExpressionNode, string]
  | readonly ['and' | 'or', ExpressionNode, ExpressionNode]
  | readonly ['if', ExpressionNode, ExpressionNode, ExpressionNode]
  | readonly ['list', ...ExpressionNode[]]
  /** What a macro becomes: place of its variable, of its result; range, first result, whether to go on, next result, the outcome. */
  | readonly ['loop', number, number, ExpressionNode, ExpressionNode, ExpressionNode, ExpressionNode, ExpressionNode];
