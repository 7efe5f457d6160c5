import { json } from '../../core/index.ts';
import type { Converters } from '../plugin.ts';
import { textConverter } from './plain-converters.ts';
import { SIMPLE_HEADERS } from './simple-header.ts';

/** What a definition has that names no converters. */
export const DEFAULT_CONVERTERS: Converters = {
  key: textConverter,
  value: json(),
  header: SIMPLE_HEADERS,
};
