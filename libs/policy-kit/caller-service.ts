/** Name of the Service of the trust domain that a SPIFFE id stands for: `orders` of `spiffe://shop.example/service/orders`; '' where it stands for something else. */
export function callerService(principal: string, trustDomain: string): string {
  const name = 'spiffe://'.length + trustDomain.length;
  if (trustDomain === '' || !principal.startsWith(trustDomain, 'spiffe://'.length) || !principal.startsWith('/service/', name)) return '';
  const service = principal.slice(name + '/service/'.length);
  return service.includes('/') ? '' : service;
}
