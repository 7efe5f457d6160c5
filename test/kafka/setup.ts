import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { prepareJava } from './jars.ts';
import { HOME, TEST_JAVA } from './java.ts';

/** Runs once before the tests: gets Kafka's jars and compiles our programs. */
export default function setup(): void {
  const programs = ['streams', 'connect'].flatMap((directory) => {
    const names = readdirSync(join(HOME, directory)).filter((name) => name.endsWith('.java'));
    return names.map((name) => join(HOME, directory, name));
  });
  prepareJava(TEST_JAVA, programs);
}
