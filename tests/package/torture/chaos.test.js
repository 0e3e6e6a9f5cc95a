// Random harm, for a minute or as long as RETHREAD_CHAOS_MINUTES says; RETHREAD_CHAOS_SEED repeats a run.
import { test } from "node:test";

import { Chaos } from "../lib/chaos.js";

const minutes = Number(process.env.RETHREAD_CHAOS_MINUTES ?? 1);
const seed = Number(process.env.RETHREAD_CHAOS_SEED ?? Math.floor(Math.random() * 2 ** 32));

test(`chaos: ${minutes} minutes with the seed ${seed}`, async () => {
  const counted = await new Chaos(seed, minutes).run();
  console.log(`chaos with the seed ${seed}: ${JSON.stringify(counted)}`);
});
