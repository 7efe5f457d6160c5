import { integer, text, type OptionChecks } from '../../core/internal.ts';

/** The options of all text formats. */
export interface TextOptions {
  /**
   * The longest record, in bytes, at most 256 MiB; a longer one is an error if it does not fit into
   * one read, 256 KiB. Default: 1 MiB, what a topic takes unless its maxMessageBytes is raised.
   */
  readonly lineBytesMax?: number;
  /**
   * How the text is written, by its name in the WHATWG Encoding Standard: `utf-16le`, `utf-16be`,
   * `windows-1252`, `latin1` (the same), `shift_jis` ... Default: UTF-8. A sink writes UTF-8.
   */
  readonly encoding?: string;
}

// V8's strings have up to 2 ** 29 characters, and we decode up to twice the limit at once.
export const TEXT_CHECKS: OptionChecks<TextOptions> = {
  lineBytesMax: integer(1, 2 ** 28),
  encoding: text,
};
