"""A client that keeps the contract: after a broken connection it sends every line after the last ack again."""

import threading
import time


class Resender(threading.Thread):
    """Sends lines over consecutive connections until is_finished(). A subclass says what is sent: send(client, base) sends the
    lines after the first @base ones, and returns at their end or when the connection breaks."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.daemon_under_test = daemon
        self.acked = 0
        self.rejected = {}  # by the line's number, from 1
        self.connections = 0
        self.error = None

    def run(self):
        try:
            while not self.is_finished():
                try:
                    self.converse()
                except OSError:
                    time.sleep(0.02)
        except BaseException as error:
            self.error = error

    def converse(self):
        client = self.daemon_under_test.client()
        self.connections += 1
        base = self.acked
        sender = threading.Thread(target=self.send_until_broken, args=(client, base), daemon=True)
        sender.start()
        try:
            while (reply := client.reply()) is not None:
                if "ack" in reply:
                    self.acked = base + reply["ack"]
                elif "reject" in reply:
                    self.rejected[base + reply["reject"]] = reply
        except AssertionError:
            pass  # cut off in the middle of a reply
        finally:
            client.close()
            sender.join()

    def send_until_broken(self, client, base):
        try:
            self.send(client, base)
        except OSError:
            pass
