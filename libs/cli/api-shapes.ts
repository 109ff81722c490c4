import type { policyStatusShape } from '@remora/control-plane/api/shapes/policy-status-shape';
import type { authorityShape, joinTokenShape, newJoinTokenShape, nodeCertificateShape, revocationShape, rotationShape } from '@remora/control-plane/api/shapes/identity-shape';
import type { documentDiffShape, enforcementShape, fieldChangeShape, refusalShape, revisionDiffShape, revisionShape } from '@remora/control-plane/api/shapes/revision-shape';
import type { sidecarShape } from '@remora/control-plane/api/shapes/sidecar-shape';
import type { storedDocumentShape, writeAnswerShape } from '@remora/control-plane/api/shapes/write-shape';
import type { topShape } from '@remora/control-plane/api/shapes/telemetry-shape';
import type { credentialShape, newCredentialShape } from '@remora/control-plane/api/shapes/consumer-shape';
import type { secretRekeyShape, secretShape } from '@remora/control-plane/api/shapes/secret-shape';
import type { canShape } from '@remora/control-plane/api/shapes/can-shape';
import type { explanationShape, fieldExplanationShape, whyShape } from '@remora/control-plane/api/shapes/explain-shape';
import type { apiTokenShape, loginShape, newApiTokenShape, whoamiShape } from '@remora/control-plane/api/shapes/operator-shape';
import type { suggestionListShape } from '@remora/control-plane/api/shapes/suggestion-shape';
import type { usageListShape } from '@remora/control-plane/api/shapes/usage-shape';
import type { canaryListShape, canaryStatusShape } from '@remora/control-plane/api/shapes/canary-shape';
import type { breakerOrderShape, fleetHealthShape, hostOrderListShape, serviceHealthShape } from '@remora/control-plane/api/shapes/health-shape';
import type { discoveryListShape, endpointListShape } from '@remora/control-plane/api/shapes/endpoint-shape';
import type { mtlsStatusShape } from '@remora/control-plane/api/shapes/mtls-shape';
import type { auditEntryShape, auditListShape } from '@remora/control-plane/api/shapes/audit-shape';

/** Answers of the API, in the types of the schemas that OpenAPI is made from: a change there shows here when compiling. */
export type WriteAnswer = (typeof writeAnswerShape)['_output'];
export type DocumentDifference = (typeof documentDiffShape)['_output'];
export type FieldDifference = (typeof fieldChangeShape)['_output'];
export type EnforcementAnswer = (typeof enforcementShape)['_output'];
export type RefusalAnswer = (typeof refusalShape)['_output'];
export type RevisionAnswer = (typeof revisionShape)['_output'];
export type RevisionDiffAnswer = (typeof revisionDiffShape)['_output'];
export type PolicyStatusAnswer = (typeof policyStatusShape)['_output'];
export type DocumentAnswer = (typeof storedDocumentShape)['_output'];
export type SidecarAnswer = (typeof sidecarShape)['_output'];
export type JoinTokenAnswer = (typeof joinTokenShape)['_output'];
export type NewJoinTokenAnswer = (typeof newJoinTokenShape)['_output'];
export type AuthorityAnswer = (typeof authorityShape)['_output'];
export type RotationAnswer = (typeof rotationShape)['_output'];
export type RevocationAnswer = (typeof revocationShape)['_output'];
export type SuggestionListAnswer = (typeof suggestionListShape)['_output'];
export type UsageListAnswer = (typeof usageListShape)['_output'];
export type ServiceHealthAnswer = (typeof serviceHealthShape)['_output'];
export type CanaryStatusAnswer = (typeof canaryStatusShape)['_output'];
export type CanaryListAnswer = (typeof canaryListShape)['_output'];
export type BreakerOrderAnswer = (typeof breakerOrderShape)['_output'];
export type HostOrderListAnswer = (typeof hostOrderListShape)['_output'];
export type FleetHealthAnswer = (typeof fleetHealthShape)['_output'];
export type EndpointListAnswer = (typeof endpointListShape)['_output'];
export type DiscoveryListAnswer = (typeof discoveryListShape)['_output'];
export type MtlsStatusAnswer = (typeof mtlsStatusShape)['_output'];
export type NodeCertificateAnswer = (typeof nodeCertificateShape)['_output'];
export type ApiTokenAnswer = (typeof apiTokenShape)['_output'];
export type NewApiTokenAnswer = (typeof newApiTokenShape)['_output'];
export type LoginAnswer = (typeof loginShape)['_output'];
export type WhoamiAnswer = (typeof whoamiShape)['_output'];
export type AuditEntryAnswer = (typeof auditEntryShape)['_output'];
export type AuditListAnswer = (typeof auditListShape)['_output'];
export type CredentialAnswer = (typeof credentialShape)['_output'];
export type NewCredentialAnswer = (typeof newCredentialShape)['_output'];
export type SecretAnswer = (typeof secretShape)['_output'];
export type SecretRekeyAnswer = (typeof secretRekeyShape)['_output'];
export type TopAnswer = (typeof topShape)['_output'];
export type CanAnswer = (typeof canShape)['_output'];
export type WhyAnswer = (typeof whyShape)['_output'];
export type ExplainAnswer = (typeof explanationShape)['_output'];
export type FieldExplanation = (typeof fieldExplanationShape)['_output'];

/** One page of a list; `next` is where the following one starts. */
export interface Page<Item> {
  readonly items: readonly Item[];
  readonly next?: string | null;
}
