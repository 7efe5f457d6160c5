/** What the job writes: a line of JSON for each window. */
export interface Delays {
  /** Airport, or state. */
  readonly place: string;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  readonly flights: number;
  readonly meanDelay: number;
  readonly maxDelay: number;
  /** Of all flights, those delayed by more than a quarter of an hour. */
  readonly shareDelayed: number;
}
