import type { LoadHook, ResolveHook } from 'node:module';

/**
 * Module hooks of Node, in front of those of tsx: TypeScript is an ES module, whatever the nearest
 * package.json says. `npm init` writes `"type": "commonjs"`, and a job that were loaded that way
 * would get a copy of its own of all of Millrace.
 */
export const resolve: ResolveHook = async (specifier, context, nextResolve) => {
  const resolved = await nextResolve(specifier, context);
  return isTypeScript(resolved.url) ? { ...resolved, format: 'module' } : resolved;
};

export const load: LoadHook = (url, context, nextLoad) =>
  nextLoad(url, isTypeScript(url) ? { ...context, format: 'module' } : context);

function isTypeScript(url: string): boolean {
  return /\.tsx?(\?|$)/.test(url) && !url.includes('/node_modules/');
}
