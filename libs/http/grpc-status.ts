/**
 * The gRPC code of a refusal that has an HTTP status. gRPC's own table ("HTTP to gRPC Status Code Mapping"), with more where we know more than a client
 * that only sees the status: 504 and 408 are deadlines, 413 and 431 limits of size, 500 an error of ours, 501 and 415 something that is not there.
 */
export function grpcStatusOfHttp(status: number): number {
  switch (status) {
    case 400:
      return 13;
    case 401:
      return 16;
    case 403:
      return 7;
    case 404:
    case 415:
    case 501:
      return 12;
    case 408:
    case 504:
      return 4;
    case 413:
    case 431:
      return 8;
    case 429:
    case 502:
    case 503:
      return 14;
    case 499:
      return 1;
    case 500:
    case 508:
      return 13;
    default:
      return 2;
  }
}

/**
 * The HTTP status that says the same as a gRPC code (`google.rpc.Code`): by it a call that ended with HTTP 200 and a gRPC error is an error in figures.
 * Codes that gRPC does not have count as UNKNOWN.
 */
export function httpStatusOfGrpc(code: number): number {
  return httpStatuses[code] ?? 500;
}

/** `OK`, `CANCELLED` …; the number where gRPC has no name for it. */
export function grpcStatusName(code: number): string {
  return names[code] ?? String(code);
}

/** The same for series of figures, which must be few: `other` for what gRPC has no name for. */
export function grpcCodeLabel(code: number): string {
  return names[code] ?? 'other';
}

/** The number that a `grpc-status` field holds; UNKNOWN where it holds none (gRPC over HTTP/2, `Status`). */
export function parseGrpcStatus(text: string): number {
  if (text.length === 0 || text.length > 3) return unknown;
  let code = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return unknown;
    code = code * 10 + digit;
  }
  return code;
}

/** `Percent-Encoded` of the gRPC protocol, for `grpc-message`: everything but printable ASCII, and `%` itself. */
export function encodeGrpcMessage(text: string): string {
  let encoded = '';
  for (const byte of new TextEncoder().encode(text)) {
    encoded += byte >= 32 && byte < 127 && byte !== 37 ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

const unknown = 2;
const httpStatuses = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
const names = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED', 'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED',
];
