import { checkOptions, integer, type OptionChecks } from '../../core/internal.ts';

/** The options of all text formats. */
export interface TextOptions {
  /**
   * The longest record, in bytes, at most 256 MiB; a longer one is an error if it does not fit into
   * one read, 256 KiB. Default: 16 MiB.
   */
  readonly lineBytesMax?: number;
}

// V8's strings have up to 2 ** 29 characters, and we decode up to twice the limit at once.
export const TEXT_CHECKS: OptionChecks<TextOptions> = { lineBytesMax: integer(1, 2 ** 28) };

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function checkTextOptions(what: string, options: TextOptions): void {
  checkOptions(what, options, TEXT_CHECKS);
}
