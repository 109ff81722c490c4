/** Bounds of what people may write. What is beyond is refused with the bound named. */
export const documentLimits = {
  /** Text of one input (all files of an apply). */
  inputBytes: 64 * 1024 * 1024,
  /** Documents of one input. */
  inputDocuments: 200_000,
  /** One document as JSON text; what is compiled from it must fit a resource of 256 KiB. */
  documentBytes: 192 * 1024,
  /** Nesting of maps and lists. */
  depth: 24,
  /** Maps, lists and scalars of one document, aliases expanded. */
  nodes: 50_000,
  /** Uses of anchors in one document. */
  aliases: 1_000,
  labels: 64,
  ports: 32,
  listeners: 64,
  endpoints: 2_000,
  dependsOn: 1_000,
  hosts: 256,
  conditions: 64,
  groups: 64,
  identities: 64,
  planLimits: 16,
  planQuotas: 8,
  targets: 64,
  bounds: 256,
  exceptions: 256,
  pathLength: 2_048,
  valueLength: 4_096,
  regexLength: 1_024,
  responseBytes: 64 * 1024,
  /** Violations of one answer; a last one says how many more there are. */
  violations: 1_000,
} as const;
