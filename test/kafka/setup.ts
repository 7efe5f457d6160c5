import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { prepareJava } from './jars.ts';
import { HOME, TEST_JAVA } from './java.ts';

/** Runs once before the tests: gets Kafka's jars and compiles the programs of `streams/`. */
export default function setup(): void {
  const files = readdirSync(join(HOME, 'streams')).filter((name) => name.endsWith('.java'));
  prepareJava(
    TEST_JAVA,
    files.map((name) => join(HOME, 'streams', name)),
  );
}
