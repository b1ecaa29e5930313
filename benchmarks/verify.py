def run(*, quick): pass
