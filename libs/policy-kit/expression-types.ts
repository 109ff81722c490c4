/** Types of expressions. `dyn` is known only when a request is there: claims are. */
export type ExpressionType =
  | 'bool' | 'int' | 'double' | 'string' | 'null' | 'timestamp' | 'duration' | 'dyn'
  | { readonly list: ExpressionType }
  /** Keys are strings. */
  | { readonly map: ExpressionType };

const strings: ExpressionType = { list: 'string' };

/** Every variable. Headers and parameters are lists of all their values, empty where there is none, and are asked for by a literal name. */
export const expressionVariables: Readonly<Record<string, ExpressionType>> = {
  'request.method': 'string',
  'request.path': 'string',
  'request.host': 'string',
  'request.scheme': 'string',
  'request.headers': { map: strings },
  'request.query': { map: strings },
  'connection.address': 'string',
  'caller.id': 'string',
  'caller.service': 'string',
  'consumer.name': 'string',
  'consumer.groups': strings,
  'consumer.plan': 'string',
  claims: { map: 'dyn' },
  scopes: strings,
  now: 'timestamp',
};

export interface Overload {
  readonly args: readonly ExpressionType[];
  readonly result: ExpressionType;
}

const ordered: readonly ExpressionType[] = ['int', 'double', 'string', 'bool', 'timestamp', 'duration'];
const comparison: readonly Overload[] = [
  ...ordered.map((type): Overload => ({ args: [type, type], result: 'bool' })), { args: ['int', 'double'], result: 'bool' }, { args: ['double', 'int'], result: 'bool' },
];
const arithmetic: readonly Overload[] = [{ args: ['int', 'int'], result: 'int' }, { args: ['double', 'double'], result: 'double' }];
const textTest: readonly Overload[] = [{ args: ['string', 'string'], result: 'bool' }];
const textEdit: readonly Overload[] = [{ args: ['string'], result: 'string' }];
const ofTime: readonly Overload[] = [{ args: ['timestamp'], result: 'int' }];
const numeric: readonly Overload[] = [{ args: ['int'], result: 'int' }, { args: ['double'], result: 'double' }];

/** What each function takes and gives, as CEL's standard definitions say; a method's target is its first argument. */
export const expressionFunctions: Readonly<Record<string, readonly Overload[]>> = {
  '_<_': comparison, '_<=_': comparison, '_>_': comparison, '_>=_': comparison,
  '_+_': [
    ...arithmetic, { args: ['string', 'string'], result: 'string' },
    { args: ['timestamp', 'duration'], result: 'timestamp' }, { args: ['duration', 'timestamp'], result: 'timestamp' }, { args: ['duration', 'duration'], result: 'duration' },
  ],
  '_-_': [
    ...arithmetic, { args: ['timestamp', 'timestamp'], result: 'duration' }, { args: ['timestamp', 'duration'], result: 'timestamp' }, { args: ['duration', 'duration'], result: 'duration' },
  ],
  '_*_': arithmetic, '_/_': arithmetic, '_%_': [{ args: ['int', 'int'], result: 'int' }],
  '-_': numeric,
  '!_': [{ args: ['bool'], result: 'bool' }],
  startsWith: textTest, endsWith: textTest, contains: textTest, matches: textTest,
  lowerAscii: textEdit, upperAscii: textEdit, trim: textEdit,
  split: [{ args: ['string', 'string'], result: strings }],
  int: [{ args: ['int'], result: 'int' }, { args: ['double'], result: 'int' }, { args: ['string'], result: 'int' }, { args: ['timestamp'], result: 'int' }],
  double: [{ args: ['double'], result: 'double' }, { args: ['int'], result: 'double' }, { args: ['string'], result: 'double' }],
  string: (['string', 'int', 'double', 'bool', 'timestamp'] as const).map((type): Overload => ({ args: [type], result: 'string' })),
  timestamp: [{ args: ['string'], result: 'timestamp' }, { args: ['int'], result: 'timestamp' }, { args: ['timestamp'], result: 'timestamp' }],
  duration: [{ args: ['string'], result: 'duration' }, { args: ['duration'], result: 'duration' }],
  getFullYear: ofTime, getMonth: ofTime, getDate: ofTime, getDayOfMonth: ofTime, getDayOfWeek: ofTime, getHours: ofTime, getMinutes: ofTime, getSeconds: ofTime,
};

/** Functions that are called with a dot only, and those that are never. */
export const expressionMethods: ReadonlySet<string> = new Set([
  'startsWith', 'endsWith', 'contains', 'matches', 'lowerAscii', 'upperAscii', 'trim', 'split', 'getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek',
  'getHours', 'getMinutes', 'getSeconds', 'size',
]);

/** Whether a value of one type may be where the other is asked for. */
export function fits(type: ExpressionType, wanted: ExpressionType): boolean {
  if (type === 'dyn' || wanted === 'dyn') return true;
  if (typeof type === 'string' || typeof wanted === 'string') return type === wanted;
  if ('list' in type) return 'list' in wanted && fits(type.list, wanted.list);
  return 'map' in wanted && fits(type.map, wanted.map);
}

/** The type of either: `dyn` where they differ. */
export function joined(a: ExpressionType, b: ExpressionType): ExpressionType {
  if (typeof a !== 'string' && typeof b !== 'string') {
    if ('list' in a && 'list' in b) return { list: joined(a.list, b.list) };
    if ('map' in a && 'map' in b) return { map: joined(a.map, b.map) };
  }
  return a === b ? a : 'dyn';
}

export function typeName(type: ExpressionType): string {
  if (typeof type === 'string') return type;
  return 'list' in type ? `list(${typeName(type.list)})` : `map(string, ${typeName(type.map)})`;
}
