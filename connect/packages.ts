import { ConnectError } from './errors.ts';

/**
 * Loads a package that only one format or connector needs, so it is not installed with this one.
 *
 * @param purpose completes "needs it to": `write Parquet`.
 * @throws ConnectError PACKAGE_MISSING
 */
export async function loadPackage<Exports>(name: string, purpose: string): Promise<Exports> {
  try {
    return (await import(name)) as Exports;
  } catch (cause) {
    const message = `the package ${name} is needed to ${purpose}; install it: npm install ${name}`;
    throw new ConnectError('PACKAGE_MISSING', message, { package: name, purpose }, { cause });
  }
}
