/** Whether a limit counts by who the request is from: then it runs after authorization. */
export function needsIdentity(key: readonly string[]): boolean {
  return key.some((part) => part === 'consumer' || part === 'caller' || part.startsWith('claim.'));
}
