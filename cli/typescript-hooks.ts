import type { LoadHook, ResolveHook } from 'node:module';

/**
 * Node module hooks that run before tsx's: a TypeScript file is an ES module, whatever the nearest
 * package.json says. `npm init` writes `"type": "commonjs"`, and a job loaded that way would get
 * its own copy of all of Millrace.
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
