/** Name of the Service that a SPIFFE id of the mesh stands for: `orders` of `spiffe://shop.example/service/orders`; '' where it stands for something else. */
export function callerService(principal: string): string {
  if (principal === last) return lastName;
  last = principal;
  lastName = readService(principal);
  return lastName;
}

/** Requests of one caller come in a row. */
let last = '';
let lastName = '';

function readService(principal: string): string {
  const path = principal.indexOf('/', 'spiffe://'.length);
  if (path < 0 || !principal.startsWith('/service/', path)) return '';
  const name = principal.slice(path + '/service/'.length);
  return name.includes('/') ? '' : name;
}
