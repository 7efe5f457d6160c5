import { StoreCodec } from './codec.ts';
import type { StoreKind, TaskStore } from './store-kind.ts';

/**
 * Lets a store refuse at once what its serdes cannot write, which otherwise shows at the commit:
 * too late to tell which record it is of. Each value is then serialised twice.
 *
 * After this its methods throw StreamsError SERIALIZATION_FAILED, STATE_KEY_TOO_LONG, with nothing
 * changed.
 */
export function checkWrites(store: TaskStore, { writes }: StoreKind): void {
  const { keyBytes, methods } = writes;
  const codec = new StoreCodec(store.spec, { sizeBytes: keyBytes, write: () => undefined });
  const own = store as unknown as Record<string, (...args: unknown[]) => unknown>;
  const check = (key: unknown, value: unknown): void => {
    const entry = { key, windowStartMs: 0, value, timestampMs: 0 };
    codec.encodeKey(entry);
    if (value !== undefined && value !== null) codec.encodeValue(entry);
  };
  for (const [name, write] of Object.entries(methods)) {
    const method = own[name]!.bind(store);
    own[name] = (...args) => {
      if ('whole' in write) {
        const { key, value } = args[write.whole] as { readonly key: unknown; value: unknown };
        check(key, value);
      } else if ('value' in write) {
        check(args[write.key], args[write.value]);
      } else {
        const change = args[write.change] as (value: unknown) => unknown;
        check(args[write.key], undefined);
        args[write.change] = (known: unknown) => {
          const value = change(known);
          check(args[write.key], value);
          return value;
        };
      }
      return method(...args);
    };
  }
}
