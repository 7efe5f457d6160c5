import { assert, present, unreachable } from '../../assert.ts';
import { asLogError, LogError } from '../../errors.ts';
import type {
  BrokerApi,
  CommittedOffset,
  GroupMember,
  ProducerIdentity,
} from '../../protocol/broker-api.ts';
import { throwFirst } from '../../protocol/answer-errors.ts';
import type { PartitionQueue } from './accumulator.ts';

export interface ProducerSessionOptions {
  readonly api: BrokerApi;
  /** False for a producer that needs no identity: its batches have no sequence. */
  readonly isIdempotent: boolean;
  readonly transactionalId: string | undefined;
  readonly transactionTimeoutMs: number;
}

/** One transaction: its handle and the sender look at it, the session alone changes it. */
export interface SessionTransaction {
  /** Whose transaction it is, from its beginning to its end. */
  readonly identity: ProducerIdentity;
  /** Partitions that take part in it, as the broker knows. */
  readonly members: ReadonlySet<PartitionQueue>;
  /** Those the broker is being told of: nothing more is sent to them until it knows. */
  readonly joining: ReadonlySet<PartitionQueue>;
  /** Undefined until its end has been answered, or is decided while its markers wait for room. */
  readonly outcome: 'committed' | 'aborted' | 'in_doubt' | undefined;
}

/** The same with what changes. */
interface OwnTransaction extends SessionTransaction {
  readonly members: Set<PartitionQueue>;
  readonly joining: Set<PartitionQueue>;
  outcome: SessionTransaction['outcome'];
  /** True once the broker may have heard of it: only then is there anything to end. */
  isKnown: boolean;
}

/** A state in which there is a transaction. */
interface Transacting {
  readonly identity: ProducerIdentity;
  readonly transaction: OwnTransaction;
}

type SessionState =
  | { readonly kind: 'uninitialized' }
  | { readonly kind: 'ready'; readonly identity: ProducerIdentity; readonly hasGap: boolean }
  | {
      readonly kind: 'beginning';
      readonly identity: ProducerIdentity | undefined;
      readonly hasGap: boolean;
    }
  | (Transacting & { readonly kind: 'inTransaction' })
  | (Transacting & { readonly kind: 'abortableError'; readonly failure: Error })
  | (Transacting & { readonly kind: 'committing'; readonly failure: Error | undefined })
  | (Transacting & { readonly kind: 'aborting' })
  | (Partial<Transacting> & { readonly kind: 'fatalError'; readonly failure: LogError });

/**
 * Who a producer is for the broker, and where its transaction stands: the one place that knows and
 * changes either (Kafka: `TransactionManager`). It makes all requests that name the producer, but
 * for Produce itself.
 *
 * ```
 *                 ensureIdentity            fail: hasGap; renewIdentity: a new identity
 *   uninitialized ──────────────▶ ready ◀─┐
 *     ▲     │                       │     │ begin was in vain
 *     │     └───────── begin ───────┴──▶ beginning
 *     │                                   │ nothing is pending, no gap
 *     │                                   ▼            fail
 *     │                              inTransaction ──────────▶ abortableError
 *     │                         startCommit│    │startAbort        │ startCommit, startAbort
 *     │                                    ▼    └─────────┐        │
 *     │                  fail: failure committing ──▶ aborting ◀───┘
 *     │                                    │ startAbort   │
 *     │ the answer failed: in_doubt        │     end      │
 *     └────────────────────────────────────┴──────────────┴──▶ ready, with the next epoch
 *
 *   every state ── fail with a fatal error, or close ──▶ fatalError
 * ```
 *
 * `hasGap`: a batch was refused for good outside of a transaction, so the broker would refuse the
 * sequence numbers that follow. Nothing is sent until a new identity begins at 0. In a transaction
 * the same is an `abortableError`, and the end of the transaction brings the new epoch.
 *
 * `fatalError` is final for the producer, not for a transaction that is open: its owner still ends
 * it, which may free its readers. Nothing else begins.
 */
export class ProducerSession {
  readonly #options: ProducerSessionOptions;
  #state: SessionState = { kind: 'uninitialized' };
  /** Set while a request for an identity is under way. */
  #initializing: Promise<void> | undefined;

  constructor(options: ProducerSessionOptions) {
    this.#options = options;
  }

  get transactionalId(): string | undefined {
    return this.#options.transactionalId;
  }

  get identity(): ProducerIdentity | undefined {
    return this.#state.kind === 'uninitialized' ? undefined : this.#state.identity;
  }

  /** Set when the producer can only be closed. */
  get fatal(): LogError | undefined {
    return this.#state.kind === 'fatalError' ? this.#state.failure : undefined;
  }

  /** True while nothing may be sent until `renewIdentity`. */
  get hasGap(): boolean {
    const state = this.#state;
    return (state.kind === 'ready' || state.kind === 'beginning') && state.hasGap;
  }

  /** The transaction that batches belong to now. */
  get transaction(): SessionTransaction | undefined {
    return this.#transacting()?.transaction;
  }

  /** Why the open transaction can only be aborted; undefined while it can be committed. */
  get transactionFailure(): Error | undefined {
    return 'failure' in this.#state ? this.#state.failure : undefined;
  }

  /** Resolves when there is an identity, if batches need one. Fences those who had it before. */
  async ensureIdentity(): Promise<void> {
    if (!this.#options.isIdempotent || this.identity !== undefined) return;
    if (this.fatal !== undefined) throw this.fatal;
    await this.#initialize();
  }

  /**
   * As `ensureIdentity`, for a producer of transactions.
   *
   * @throws LogError NO_TRANSACTION without a transactional id
   */
  async initTransactions(): Promise<void> {
    if (this.#options.transactionalId === undefined) throw noTransactionalId('initTransactions');
    await this.ensureIdentity();
  }

  /** Takes another identity, with which all sequences start at 0. */
  async renewIdentity(): Promise<void> {
    assert(this.transaction === undefined, 'a transaction keeps its identity');
    await this.#initialize();
  }

  #initialize(): Promise<void> {
    const { api, transactionalId = null, transactionTimeoutMs } = this.#options;
    this.#initializing ??= api
      .initProducerId({ transactionalId, transactionTimeoutMs })
      .then((identity) => this.#identified(identity))
      .finally(() => (this.#initializing = undefined));
    return this.#initializing;
  }

  #identified(identity: ProducerIdentity): void {
    const state = this.#state;
    if (state.kind === 'fatalError') {
      this.#state = { ...state, identity };
      return;
    }
    assert(!('transaction' in state), 'a transaction keeps its identity');
    const kind = state.kind === 'beginning' ? 'beginning' : 'ready';
    this.#state = { kind, identity, hasGap: false };
  }

  /**
   * Takes note that something was lost for good: a batch, or a request of the transaction. The
   * first failure of a transaction counts.
   */
  fail(error: Error): void {
    const state = this.#state;
    if (error instanceof LogError && error.fatal) {
      this.close(error);
      return;
    }
    switch (state.kind) {
      case 'ready':
      case 'beginning':
        this.#state = { ...state, hasGap: true };
        return;
      case 'inTransaction':
        this.#state = {
          kind: 'abortableError',
          identity: state.identity,
          transaction: state.transaction,
          failure: error,
        };
        return;
      case 'committing':
        this.#state = { ...state, failure: state.failure ?? error };
        return;
      case 'uninitialized':
      case 'abortableError':
      case 'aborting':
      case 'fatalError':
        return;
      default:
        unreachable(state);
    }
  }

  /** Nothing begins from here on, for this reason; what was begun before may end. */
  close(failure: LogError): void {
    if (this.#state.kind === 'fatalError') return; // the first reason counts
    const { identity } = this;
    this.#state = {
      kind: 'fatalError',
      failure,
      ...(this.#transacting() ?? (identity !== undefined && { identity })),
    };
  }

  /**
   * Begins a transaction.
   *
   * @param settle resolves when there is an identity without a gap, and nothing sent outside of the
   *   transaction is pending.
   * @throws LogError NO_TRANSACTION without a transactional id, INVALID_TXN_STATE while another
   *   transaction is open or begins, and what `settle` throws: then there is none.
   */
  async begin(settle: () => Promise<void>): Promise<SessionTransaction> {
    const { transactionalId } = this.#options;
    if (transactionalId === undefined) throw noTransactionalId('beginTransaction');
    const before = this.#state;
    if (before.kind === 'fatalError') throw before.failure;
    if (before.kind !== 'uninitialized' && before.kind !== 'ready') throw isOpen(transactionalId);
    const { identity, hasGap } = this;
    this.#state = { kind: 'beginning', identity, hasGap };
    try {
      await settle();
      return this.#opened();
    } finally {
      this.#beginWasInVain();
    }
  }

  #opened(): SessionTransaction {
    const state = this.#state;
    if (state.kind === 'fatalError') throw state.failure;
    assert(state.kind === 'beginning' && !state.hasGap, 'a transaction begins without a gap');
    const identity = present(state.identity, 'a transaction has an owner');
    const transaction: OwnTransaction = {
      identity,
      members: new Set(),
      joining: new Set(),
      outcome: undefined,
      isKnown: false,
    };
    this.#state = { kind: 'inTransaction', identity, transaction };
    return transaction;
  }

  #beginWasInVain(): void {
    const state = this.#state;
    if (state.kind !== 'beginning') return;
    const { identity, hasGap } = state;
    this.#state =
      identity === undefined ? { kind: 'uninitialized' } : { kind: 'ready', identity, hasGap };
  }

  /** Tells the broker that partitions take part in the transaction. */
  async addPartitions(queues: ReadonlySet<PartitionQueue>): Promise<void> {
    const { transaction, producer } = this.#owner();
    for (const queue of queues) transaction.joining.add(queue);
    transaction.isKnown = true;
    const partitions = Array.from(queues, ({ topic, partition }) => ({ topic, partition }));
    try {
      throwFirst((await this.#options.api.addPartitionsToTxn({ ...producer, partitions })).results);
      for (const queue of queues) transaction.members.add(queue);
    } finally {
      for (const queue of queues) transaction.joining.delete(queue);
    }
  }

  /** Commits offsets with the transaction. */
  async addOffsets(member: GroupMember, offsets: readonly CommittedOffset[]): Promise<void> {
    const { api } = this.#options;
    const { transaction, producer } = this.#owner();
    transaction.isKnown = true;
    await api.addOffsetsToTxn({ ...producer, groupId: member.groupId });
    throwFirst((await api.txnOffsetCommit({ ...producer, ...member, offsets })).results);
  }

  /** From here on only `end` follows, or `startAbort` where something failed before that. */
  startCommit(): void {
    const state = this.#state;
    if (state.kind === 'fatalError') return;
    assert(state.kind === 'inTransaction' || state.kind === 'abortableError', 'one end is enough');
    const { identity, transaction } = state;
    this.#state = { kind: 'committing', identity, transaction, failure: this.transactionFailure };
  }

  /** From here on only `end` follows. */
  startAbort(): void {
    const state = this.#state;
    if (state.kind === 'fatalError') return;
    const { identity, transaction } = present(
      this.#transacting(),
      'an open transaction is aborted',
    );
    this.#state = { kind: 'aborting', identity, transaction };
  }

  /**
   * Ends the transaction as `startCommit` or `startAbort` said. After an error the next one begins
   * by asking for an identity. That aborts this one if it is in doubt and still open.
   *
   * @throws LogError what the broker answered: after MARKERS_WAIT_FOR_ROOM it is committed, after
   *   any other in doubt. An abort that is decided does not fail.
   */
  async end(): Promise<void> {
    const { transaction, producer } = this.#owner();
    const commit = this.#state.kind === 'committing';
    try {
      // Where nothing was written the broker knows of no transaction.
      const next = transaction.isKnown
        ? await this.#options.api.endTxn({ ...producer, commit })
        : transaction.identity;
      transaction.outcome = commit ? 'committed' : 'aborted';
      this.#ended(next);
    } catch (cause) {
      const isDecided = LogError.is(cause, 'MARKERS_WAIT_FOR_ROOM');
      const outcome = commit ? 'committed' : 'aborted';
      transaction.outcome = isDecided ? outcome : 'in_doubt';
      this.#ended(undefined);
      if (isDecided && !commit) return; // readers of committed data never see it, as promised
      const error = asLogError(cause);
      if (error.fatal) this.close(error);
      throw cause;
    }
  }

  /**
   * Repeats the commit of a transaction whose markers wait for room, which waits for them.
   *
   * @throws LogError MARKERS_WAIT_FOR_ROOM
   */
  async awaitMarkers({ identity }: SessionTransaction): Promise<void> {
    const { api, transactionalId } = this.#options;
    const id = present(transactionalId, 'a transaction has an id');
    try {
      await api.endTxn({ transactionalId: id, ...identity, commit: true });
    } catch (cause) {
      // A newer identity is given when all markers of the older one are there, and not before.
      const isReplaced =
        LogError.is(cause, 'PRODUCER_FENCED') || LogError.is(cause, 'INVALID_PRODUCER_ID_MAPPING');
      if (!isReplaced) throw cause;
    }
  }

  #ended(identity: ProducerIdentity | undefined): void {
    const state = this.#state;
    if (state.kind === 'fatalError') {
      const { kind, failure } = state;
      this.#state = { kind, failure, ...(identity !== undefined && { identity }) };
    } else if (identity === undefined) this.#state = { kind: 'uninitialized' };
    else this.#state = { kind: 'ready', identity, hasGap: false };
  }

  #transacting(): Transacting | undefined {
    const state = this.#state;
    if (!('transaction' in state)) return undefined;
    const { identity, transaction } = state;
    return identity === undefined ? undefined : { identity, transaction };
  }

  /** The open transaction, and what its requests name. */
  #owner() {
    const { identity, transaction } = present(this.#transacting(), 'a transaction is open');
    const transactionalId = present(this.#options.transactionalId, 'a transaction has an id');
    const { producerId, producerEpoch } = identity;
    return { transaction, producer: { transactionalId, producerId, producerEpoch } };
  }
}

function noTransactionalId(operation: string): LogError {
  const message = 'transactions need a producer with a transactionalId';
  return new LogError('NO_TRANSACTION', message, { operation });
}

function isOpen(transactionalId: string): LogError {
  const reason = 'another transaction of this producer is open; commit or abort it first';
  const details = { transactionalId, state: 'Ongoing', reason };
  return new LogError('INVALID_TXN_STATE', `${transactionalId}: ${reason}`, details);
}
