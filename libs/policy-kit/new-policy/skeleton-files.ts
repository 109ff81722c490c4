/** The files of a new kind: where each goes, and from which part of the skeleton. */
export function skeletonFiles(kind: NewKind): readonly { readonly from: string; readonly to: string }[] {
  const { folder, side } = kind;
  const plain = ['package.json', 'schema.ts', 'compile.ts', 'wire.ts', 'README.md'].map((name) => ({ from: `${name}.skeleton`, to: name }));
  return [
    ...plain,
    { from: 'proto.skeleton', to: `${folder}.proto` },
    { from: `filter.${side}.ts.skeleton`, to: 'filter.ts' },
    { from: `test.${side}.ts.skeleton`, to: `${folder}.test.ts` },
    { from: 'bench.ts.skeleton', to: `${folder}.bench.ts` },
    { from: 'valid.json.skeleton', to: 'testdata/valid/marks.json' },
    { from: 'valid.golden.json.skeleton', to: 'testdata/valid/marks.golden.json' },
    { from: 'invalid.json.skeleton', to: 'testdata/invalid/foreign-name.json' },
    { from: 'invalid.golden.json.skeleton', to: 'testdata/invalid/foreign-name.golden.json' },
  ];
}

export interface NewKind {
  /** `cacheKey`, as in documents. */
  readonly kind: string;
  /** `cache-key`. */
  readonly folder: string;
  readonly side: 'provider' | 'caller';
}

/** Accepts `cacheKey` and `cache-key`. null where it is neither. */
export function newKind(name: string, side: 'provider' | 'caller'): NewKind | null {
  const folder = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (!/^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/.test(folder) || folder.length > 40) return null;
  return { kind: camelCase(folder), folder, side };
}

export function camelCase(folder: string): string {
  return folder.replaceAll(/-(.)/g, (_match, letter: string) => letter.toUpperCase());
}

/** Fills the placeholders of a part of the skeleton. */
export function fillSkeleton(text: string, { kind, folder, side }: NewKind, versions: { readonly protobuf: string; readonly zod: string }): string {
  const provider = side === 'provider';
  const values: Readonly<Record<string, string>> = {
    kind, folder, side, Kind: kind.charAt(0).toUpperCase() + kind.slice(1), package: folder.replaceAll('-', ''), Shape: provider ? 'Edge' : 'Layer',
    shadow: String(provider), protobuf: versions.protobuf, zod: versions.zod,
  };
  return text.replaceAll(/__([A-Za-z]+?)__/g, (placeholder, name: string) => values[name] ?? placeholder);
}
