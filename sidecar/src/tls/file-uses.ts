import type { CertificateSource, Snapshot } from '@remora/snapshot/snapshot';

/** One place of a snapshot that names files: a certificate with its key, or the authorities that are believed. */
export type FileUse = CertificateUse | AuthoritiesUse;

export interface CertificateUse extends UsePlace {
  readonly kind: 'certificate';
  readonly certFile: string;
  readonly keyFile: string;
}

export interface AuthoritiesUse extends UsePlace {
  readonly kind: 'authorities';
  readonly file: string;
}

interface UsePlace {
  /** `listener https`, `destination payments`: as errors name it. */
  readonly resource: string;
  /** Of what names the file, within the document. */
  readonly pointer: string;
}

/** Every use in the snapshot, in its order. */
export function fileUses(snapshot: Snapshot): readonly FileUse[] {
  const uses: FileUse[] = [];
  for (const { name, tls } of snapshot.listeners.values()) {
    if (tls === null) continue;
    const place = { resource: `listener ${name}`, pointer: `/listeners/${name}/tls` };
    tls.certificates.forEach((source, i) => uses.push(certificateUse(source, place.resource, `${place.pointer}/certificates/${i}`)));
    uses.push(...authorities(tls.clientCaFiles, place.resource, `${place.pointer}/clientCaFiles`));
  }
  for (const { service, ports } of snapshot.destinations.values()) {
    for (const { name, tls } of ports) {
      if (tls === null) continue;
      const place = { resource: `destination ${service}`, pointer: `/ports/${name}/tls` };
      if (tls.clientCertificate !== null) uses.push(certificateUse(tls.clientCertificate, place.resource, `${place.pointer}/clientCertificate`));
      uses.push(...authorities(tls.caFiles, place.resource, `${place.pointer}/caFiles`));
    }
  }
  return uses;
}

function certificateUse({ certFile, keyFile }: CertificateSource, resource: string, pointer: string): CertificateUse {
  return { kind: 'certificate', certFile, keyFile, resource, pointer };
}

function authorities(files: readonly string[], resource: string, pointer: string): AuthoritiesUse[] {
  return files.map((file, i) => ({ kind: 'authorities', file, resource, pointer: `${pointer}/${i}` }));
}

/** What two uses of the same files have in common. */
export function useKey(use: FileUse): string {
  return use.kind === 'certificate' ? `${use.certFile}\0${use.keyFile}` : use.file;
}
