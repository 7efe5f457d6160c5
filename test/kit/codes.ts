import { LogError } from '../../core/errors.ts';

/** The code that `promise` rejects with, or what else became of it. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return error instanceof LogError ? error.code : String(error);
  }
}
