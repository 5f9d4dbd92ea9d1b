open("HOSTILE_RAN", "w").close()


class Evil:
    pass


class Config:
    pass
