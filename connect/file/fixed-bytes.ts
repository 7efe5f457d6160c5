import { checkOptions, integer, type OptionChecks } from '../../core/internal.ts';
import type { SourceFormat } from './format.ts';
import { fixedEncoding, fixedRecords } from './source/fixed-bytes.ts';
import { LINE_BYTES_MAX, TextReader } from './text-reader.ts';

/** The options of `fixedBytes`. */
export interface FixedBytesOptions {
  /** The size of each record, 1 to 1 MiB. */
  readonly sizeBytes: number;
}

const CHECKS: OptionChecks<FixedBytesOptions> = { sizeBytes: integer(1, LINE_BYTES_MAX) };

/**
 * Records of the same number of bytes, with nothing between them. A row is a record's bytes. A
 * shorter rest at the end of a file that is not followed is FIELD_COUNT.
 *
 * @throws LogError UNKNOWN_OPTION, INVALID_OPTION
 */
export function fixedBytes(options: FixedBytesOptions): SourceFormat<Uint8Array> {
  checkOptions('fixedBytes', options, CHECKS, ['sizeBytes']);
  const { sizeBytes } = options;
  const parser = fixedRecords(sizeBytes);
  const reading = { parser, lineBytesMax: 2 * LINE_BYTES_MAX, encoding: fixedEncoding(sizeBytes) };
  return {
    name: 'fixedBytes',
    unit: 'row',
    canFollow: true,
    carries: 'text',
    open: (file) => TextReader.open(file, reading),
  };
}
