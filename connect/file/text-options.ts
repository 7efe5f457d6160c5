import { checkOptions, integer, type OptionChecks } from '../../core/index.ts';

/** What all text formats can be told. */
export interface TextOptions {
  /** The longest record, in bytes; one that is longer is an error. Default: 16 MiB. */
  readonly lineBytesMax?: number;
}

export const TEXT_CHECKS: OptionChecks<TextOptions> = { lineBytesMax: integer(1) };

/** @throws LogError UNKNOWN_OPTION, INVALID_OPTION */
export function checkTextOptions(what: string, options: TextOptions): void {
  checkOptions(what, options, TEXT_CHECKS);
}
