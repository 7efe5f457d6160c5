import { present } from '../../core/internal.ts';
import type { StoreHandle } from '../topology/store.ts';
import { groupedKind } from './grouped-store.ts';
import { keyValueKind } from './key-value-store.ts';
import { sessionKind } from './session-store.ts';
import { recordKind } from './record-store.ts';
import type { StoreKind } from './store-kind.ts';
import { versionedKind } from './versioned-store.ts';
import { windowKind } from './window-store.ts';
import { windowedKeyKind } from './windowed-key-store.ts';

/** The one list of the kinds of stores. A new kind is a file like theirs and a line here. */
export const STORE_KINDS: Readonly<Record<string, StoreKind>> = {
  keyValue: keyValueKind,
  windowedKeyValue: windowedKeyKind,
  grouped: groupedKind,
  window: windowKind,
  session: sessionKind,
  record: recordKind,
  versioned: versionedKind,
};

export function kindOf({ kind }: StoreHandle): StoreKind {
  return present(STORE_KINDS[kind], 'each store is of a kind in the list');
}
