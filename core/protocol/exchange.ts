/** A request and its answer. */
export interface Exchange<Request, Response> {
  readonly request: Request;
  readonly response: Response;
}

/** One method for each of `Requests`. */
export type RequestHandlers<Requests extends Record<keyof Requests, Exchange<unknown, unknown>>> = {
  readonly [Name in keyof Requests]: (
    request: Requests[Name]['request'],
  ) => Promise<Requests[Name]['response']>;
};
