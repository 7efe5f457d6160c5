import { spawnSync } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { HOME, JARS } from './java.ts';

/**
 * Runs once before the tests: reports what is missing on the machine, and lets Maven copy Kafka's
 * jars into `lib/`, which git ignores, if they are not there yet (125 MB, a minute at most).
 */
export default function setup(): void {
  for (const [program, argument] of [
    ['java', '-version'],
    ['mvn', '-version'],
  ] as const) {
    const { error } = spawnSync(program, [argument], { stdio: 'ignore' });
    if (error !== undefined) throw missing(`${program} is not on the PATH`);
  }
  if (existsSync(JARS)) return;
  const unfinished = `${JARS}.part`;
  const copy = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${unfinished}`];
  const { status } = spawnSync('mvn', ['-f', join(HOME, 'pom.xml'), ...copy], {
    stdio: 'inherit',
  });
  if (status !== 0) throw missing(`mvn ended with ${String(status)}, so there are no jars`);
  renameSync(unfinished, JARS);
}

function missing(reason: string): Error {
  return new TypeError(`the tests with Kafka need Java 17 or newer and Maven: ${reason}`);
}
