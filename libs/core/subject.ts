/** What a sidecar runs for: a service or a gateway. A manifest is made per subject. */
export interface Subject {
  readonly kind: 'service' | 'gateway';
  readonly name: string;
}

/** `service/orders`. */
export type SubjectKey = `service/${string}` | `gateway/${string}`;

export function subjectKey(subject: Subject): SubjectKey {
  return `${subject.kind}/${subject.name}`;
}
