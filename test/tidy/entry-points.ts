import { readText } from './source.ts';

/** A name under which the package can be imported. */
export interface EntryPoint {
  /** `millrace/streams` */
  readonly name: string;
  /** `streams/index.ts` */
  readonly source: string;
}

/** What package.json exports, and the source that each built file is made from. */
export function entryPoints(): EntryPoint[] {
  const manifest = JSON.parse(readText('package.json')) as {
    readonly name: string;
    readonly exports: Readonly<Record<string, { readonly default: string }>>;
  };
  return Object.entries(manifest.exports).map(([path, { default: built }]) => ({
    name: manifest.name + path.slice(1),
    source: built.replace(/^\.\/dist\//, '').replace(/\.js$/, '.ts'),
  }));
}
