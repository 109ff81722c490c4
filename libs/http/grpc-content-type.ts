/**
 * Whether a content type is that of gRPC over HTTP/2: `application/grpc`, with a message format (`+proto`) or parameters. gRPC-Web and Connect are
 * other protocols, which pass through as what they are.
 */
export function isGrpcContentType(value: string): boolean {
  if (!value.startsWith('application/grpc')) return false;
  const next = value.charCodeAt(16);
  return Number.isNaN(next) || next === PLUS || next === SEMICOLON || next === SP;
}

const PLUS = 43;
const SEMICOLON = 59;
const SP = 32;
