/** Whether a text has C0 control characters or DEL; a tab is none where `tabs` are accepted. */
export function hasControlCharacters(text: string, tabs: 'tabs' | 'no-tabs' = 'no-tabs'): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === 0x7f || (code < 0x20 && !(code === 0x09 && tabs === 'tabs'))) return true;
  }
  return false;
}
