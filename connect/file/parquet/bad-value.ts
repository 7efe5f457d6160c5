/** The option that would make a value readable. */
export type ValueOption = 'timestamps' | 'numbers' | 'maps';

/** Stands in the place of a value that cannot be told; its row becomes bad input. */
export class BadValue {
  readonly reason: string;
  /** Undefined if the value is damaged. */
  readonly option: ValueOption | undefined;

  constructor(reason: string, option?: ValueOption) {
    this.reason = reason;
    this.option = option;
  }
}
