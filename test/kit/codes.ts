import { LogError } from '../../core/errors.ts';

/** The code that `promise` rejects with, or a description of any other outcome. */
export async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    return error instanceof LogError ? error.code : String(error);
  }
}
