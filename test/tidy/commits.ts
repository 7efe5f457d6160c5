import { spawnSync } from 'node:child_process';
import { ROOT } from '../kit/root.ts';
import type { Finding } from './source.ts';

/** Earlier commits were written before there was a rule. */
const LAST_UNCHECKED = 'ab6133d';
const SUBJECT_COLUMNS_MAX = 72;

/** Complaints about the subjects of commits, each after the commit's id. */
export function checkSubjects(commits: readonly string[]): Finding[] {
  return commits.flatMap((commit) => {
    const subject = commit.slice(commit.indexOf(' ') + 1);
    const [length, max] = [subject.length, SUBJECT_COLUMNS_MAX];
    return length > max ? [`${commit}: ${length} columns, at most ${max}`] : [];
  });
}

/**
 * The commits to check, as `id subject`; undefined if git does not know them, as in a tarball or a
 * shallow clone.
 */
export function newCommits(): string[] | undefined {
  const range = `${LAST_UNCHECKED}..HEAD`;
  const git = spawnSync('git', ['log', '--no-merges', '--format=%h %s', range], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (git.status !== 0) return undefined;
  return git.stdout.split('\n').filter((line) => line !== '');
}
