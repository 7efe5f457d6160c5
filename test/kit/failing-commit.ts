import { StreamsError, type CommitStep } from '../../streams/index.ts';

/** Lets commits of an application fail, as on a full disk. */
export function failingCommit() {
  /** The steps that fail at their next call. */
  const failing = new Set<CommitStep>();
  const onStep = (step: CommitStep): void => {
    if (!failing.delete(step)) return;
    throw new StreamsError('COMMIT_FAILED', 'as on a full disk', {
      ...{ applicationId: 'app', step },
    });
  };
  return { failing, onStep };
}
