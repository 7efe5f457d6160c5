import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { classesOf, HOME, jarsOf, type Java } from './java.ts';

/**
 * Reports what is missing on the machine, lets Maven copy Kafka's jars unless those of the
 * `pom.xml` are there (125 MB, a minute at most), and compiles programs, given by their paths, and
 * the broker's.
 */
export function prepareJava(java: Java, programs: readonly string[]): void {
  for (const [program, argument] of [
    ['java', '-version'],
    ['javac', '-version'],
    ['mvn', '-version'],
  ] as const) {
    const { error } = spawnSync(program, [argument], { stdio: 'ignore' });
    if (error !== undefined) throw missing(`${program} is not on the PATH`);
  }
  copyJars(java);
  compile(java, [join(HOME, 'Broker.java'), ...programs]);
}

function copyJars(java: Java): void {
  const jars = jarsOf(java);
  const pom = join(java.home, 'pom.xml');
  const copiedBy = join(jars, 'pom.xml');
  if (existsSync(copiedBy) && readFileSync(copiedBy).equals(readFileSync(pom))) return;
  rmSync(jars, { recursive: true, force: true });
  const unfinished = `${jars}.part`;
  const copy = ['-q', '-B', 'dependency:copy-dependencies', `-DoutputDirectory=${unfinished}`];
  const { status } = spawnSync('mvn', ['-f', pom, ...copy], { stdio: 'inherit' });
  if (status !== 0) throw missing(`mvn ended with ${String(status)}, so there are no jars`);
  copyFileSync(pom, join(unfinished, 'pom.xml'));
  renameSync(unfinished, jars);
}

function compile(java: Java, paths: readonly string[]): void {
  const path = join(jarsOf(java), '*');
  const options = ['-nowarn', '-encoding', 'UTF-8', '-cp', path, '-d', classesOf(java)];
  const { status } = spawnSync('javac', [...options, ...paths], { stdio: 'inherit' });
  if (status !== 0) throw missing(`javac ended with ${String(status)}`);
}

function missing(reason: string): Error {
  return new TypeError(`Kafka needs a JDK of Java 17 or newer, and Maven: ${reason}`);
}
