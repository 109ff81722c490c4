import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import type { TestAuthority } from './test-authority.ts';

/**
 * Tests only: a list of revoked certificates in DER, as openssl makes it in the folder. `options`: when it ends (`-crldays 7`, or `-crl_nextupdate` …);
 * `extensions`: lines of OpenSSL's configuration.
 */
export function makeCrl(openssl: string, folder: string, by: TestAuthority, serials: readonly string[], options: readonly string[] = ['-crldays', '7'], extensions = 'authorityKeyIdentifier = keyid'): Buffer {
  const write = (name: string, text: string): void => writeFileSync(path.join(folder, name), text, { mode: 0o600 });
  write('ca.pem', by.cert);
  write('ca.key', by.key);
  write('index.txt', serials.map((serial) => `R\t360101000000Z\t250101000000Z,keyCompromise\t${serial}\tunknown\t/CN=x\n`).join(''));
  write('number', '01\n');
  write('ca.cnf', `[ca]\ndefault_ca = own\n[own]\ndatabase = ${folder}/index.txt\ncrlnumber = ${folder}/number\ndefault_md = default\ncrl_extensions = ext\n[ext]\n${extensions}\n`);
  const ends = options.length === 0 ? ['-crldays', '7'] : options;
  execFileSync(openssl, ['ca', '-config', 'ca.cnf', '-gencrl', '-cert', 'ca.pem', '-keyfile', 'ca.key', '-out', 'crl.pem', ...ends], { cwd: folder, stdio: 'ignore' });
  return execFileSync(openssl, ['crl', '-in', 'crl.pem', '-outform', 'DER'], { cwd: folder });
}
