import { checkOptions, integer, type OptionChecks } from '../../core/internal.ts';

/** What all text formats can be told. */
export interface TextOptions {
  /**
   * The longest record, in bytes, at most 256 MiB; one that is longer is an error when it does not
   * fit into what is read at once, 256 KiB. Default: 16 MiB.
   */
  readonly lineBytesMax?: number;
}

// V8 has strings of up to 2 ** 29 characters, and up to twice the limit is decoded at once.
export const TEXT_CHECKS: OptionChecks<TextOptions> = { lineBytesMax: integer(1, 2 ** 28) };

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function checkTextOptions(what: string, options: TextOptions): void {
  checkOptions(what, options, TEXT_CHECKS);
}
