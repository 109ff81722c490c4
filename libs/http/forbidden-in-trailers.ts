import { headerId } from './header-ids.ts';

/** Fields that frame, route or authenticate, and those that only Remora may say (RFC 9110 section 6.5.1); framing fields go with the head. */
export const forbiddenInTrailers: readonly number[] = [
  headerId('host'), headerId('trailer'), headerId('authorization'), headerId('proxy-authorization'), headerId('cookie'), headerId('set-cookie'),
  headerId('content-type'), headerId('content-encoding'), headerId('x-request-id'), headerId('x-remora-deadline'), headerId('x-remora-attempt'),
  headerId('x-remora-hop'), headerId('x-remora-origin'), headerId('x-remora-reason'), headerId('cache-control'), headerId('location'),
  headerId('retry-after'), headerId('vary'), headerId('age'), headerId('forwarded'), headerId('x-forwarded-for'), headerId('x-forwarded-client-cert'),
];
