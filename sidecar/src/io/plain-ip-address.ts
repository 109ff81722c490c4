/** IPv4 addresses of dual-stack sockets without their prefix. */
export function plainIpAddress(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}
