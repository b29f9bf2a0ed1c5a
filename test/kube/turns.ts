/** Lets everything run that is ready to: some turns of the event loop, no waiting. */
export async function turns(count = 20): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate);
}
