import { rmSync } from 'node:fs';
import type { TestProject } from 'vitest/node';
import { compile, compiledFolder } from './compiled.ts';

/** Compiles what tests run in processes of their own, before all tests and when they rerun. */
export default async function setup(project: TestProject): Promise<() => void> {
  const folder = compiledFolder();
  await compile(folder);
  project.onTestsRerun(() => compile(folder));
  return () => rmSync(folder, { recursive: true });
}
