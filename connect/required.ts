import { checkOptions, LogError, show, type OptionChecks } from '../core/index.ts';

/**
 * `checkOptions`, and that none of `required` is missing: a job file is run without the compiler
 * that would say so.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function checkAllOptions<Options extends object>(
  what: string,
  options: Options,
  checks: OptionChecks<Options>,
  required: readonly (keyof Options & string)[],
): void {
  checkOptions(what, options, checks);
  for (const option of required) {
    const value = options[option];
    if (value !== undefined) continue;
    const allowed = checks[option](undefined) ?? 'given';
    const message = `${what}: ${option} is missing; it must be ${allowed}`;
    throw new LogError('INVALID_OPTION', message, { option, value: show(value), allowed });
  }
}
