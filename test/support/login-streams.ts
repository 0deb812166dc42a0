import type { LoginState } from '../../gen/gatehouse/v1/login_pb.ts';

type Stream = AsyncIterable<{ readonly state: LoginState }>;

export type Followed = ReturnType<typeof follow>;

/** Reads a stream of AwaitLogin in the background, with the time at which each state arrived. */
export function follow(stream: Stream) {
  const states: LoginState[] = [];
  const arrivals: number[] = [];
  let wake = () => {};
  const read = async () => {
    for await (const { state } of stream) {
      states.push(state);
      arrivals.push(performance.now());
      wake();
    }
  };
  let isOver = false;
  const finish = (): void => {
    isOver = true;
    wake();
  };
  const ended = read();
  ended.then(finish, finish);
  return {
    states,
    arrivals,
    ended,
    /** Waits until this many states have arrived. Fails when the stream ends before. */
    async saw(count: number): Promise<LoginState> {
      while (states.length < count && !isOver)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      if (states.length < count) await ended;
      return states[count - 1]!;
    },
  };
}
