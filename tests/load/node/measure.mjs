// Runs the work, which tells how many rows it wrote; prints that with the seconds and the CPU that it took.
export async function measure(work) {
  const began = process.hrtime.bigint(), cpu = process.cpuUsage();
  const rows = await work();
  const seconds = Number(process.hrtime.bigint() - began) / 1e9, { user, system } = process.cpuUsage(cpu);
  console.log(JSON.stringify({ rows, seconds, cpu_seconds: (user + system) / 1e6 }));
}
